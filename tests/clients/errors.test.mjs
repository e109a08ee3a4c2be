import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';
import { caught, client, counting, forbidden, model, origin, say } from './gateway.mjs';

const ask = (c, content = 'hi', extra = {}) => c.chat.completions.create({ model, messages: say(content), ...extra });

function check(err, Class, status, code) {
  assert.ok(err instanceof Class, `${err.constructor.name}: ${err.message}`);
  assert.equal(err.status, status);
  if (code !== undefined) assert.equal(err.code, code);
  assert.match(err.requestID, /^hp_/);
  assert.equal(typeof err.error.message, 'string');
  assert.ok('type' in err.error && 'param' in err.error && 'code' in err.error, 'all four members');
}

test('errors: a wrong key is 401 and not retried', async () => {
  const fetch = counting();
  const err = await caught(ask(client({ apiKey: 'sk-test-this-key-is-not-known-0001', fetch, maxRetries: 2 })));
  check(err, OpenAI.AuthenticationError, 401, 'invalid_api_key');
  assert.equal(fetch.calls, 1);
});

test('errors: an unknown model is 404', async () => {
  check(await caught(ask(client(), 'hi', { model: 'no-such-model' })), OpenAI.NotFoundError, 404, 'model_not_found');
});

for (const stream of [false, true]) {
  test(`errors: a refusal is 403 policy_denied, explained, and not retried (stream ${stream})`, async () => {
    const fetch = counting();
    const err = await caught(ask(client({ fetch, maxRetries: 2 }), 'hi', { model: forbidden, stream }));
    check(err, OpenAI.PermissionDeniedError, 403, 'policy_denied');
    assert.equal(err.type, 'permission_error');
    assert.equal(err.headers.get('x-should-retry'), 'false');
    assert.equal(err.error.homeport.event, err.requestID);
    const [rule] = err.error.homeport.targets[0].rules;
    assert.ok(rule.rule && rule.do && rule.citations.length > 0, 'the rule, its article and what to do are named');
    assert.equal(fetch.calls, 1);
  });
}

test('errors: the upstream\'s 429 stays a 429, with Retry-After, and the client retries it', async () => {
  const err = await caught(ask(client(), 'practice: error 429'));
  check(err, OpenAI.RateLimitError, 429);
  assert.ok(Number(err.headers.get('retry-after')) >= 1);

  const fetch = counting();
  await caught(ask(client({ fetch, maxRetries: 1 }), 'practice: error 429'));
  assert.equal(fetch.calls, 2);
});

test('errors: 500 and 503 are InternalServerError', async () => {
  for (const status of [500, 503]) {
    const err = await caught(ask(client(), `practice: error ${status}`));
    assert.ok(err instanceof OpenAI.InternalServerError);
    assert.ok(err.status >= 500);
    assert.match(err.requestID, /^hp_/);
  }
});

test('errors: a context overflow and a content filter keep their codes', async () => {
  check(await caught(ask(client(), 'practice: error context')), OpenAI.BadRequestError, 400, 'context_length_exceeded');
  check(await caught(ask(client(), 'practice: error content_filter')), OpenAI.BadRequestError, 400, 'content_filter');
});

test('errors: an upstream that refuses our key is 502 and never 401, and not retried', async () => {
  const fetch = counting();
  const err = await caught(ask(client({ fetch, maxRetries: 2 }), 'practice: error 401'));
  check(err, OpenAI.InternalServerError, 502, 'upstream_auth');
  assert.equal(fetch.calls, 1);
});

test('errors: an error in the first event is a status', async () => {
  const err = await caught(ask(client(), 'practice: error in first event', { stream: true }));
  check(err, OpenAI.RateLimitError, 429);
});

test('errors: a bad request names its field', async () => {
  const err = await caught(ask(client(), 'hi', { messages: 'not a list' }));
  check(err, OpenAI.BadRequestError, 400);
  assert.match(String(err.param), /messages/);
});

test('errors: a base URL with /v1 twice is told so', async () => {
  const err = await caught(ask(client({ baseURL: `${origin}/v1/v1` })));
  check(err, OpenAI.NotFoundError, 404);
  assert.match(err.message, /\/v1 twice/);
});

test('errors: an endpoint that is not offered is 501 in the error shape', async () => {
  const err = await caught(client().responses.create({ model, input: 'hi' }));
  check(err, OpenAI.InternalServerError, 501);
});
