import assert from 'node:assert/strict';
import test from 'node:test';
import { PermissionDeniedError } from 'openai';
import { azure, caught, client, forbidden, key, origin, say, weather } from './gateway.mjs';

test('azure: the deployment in the path, the key in api-key', async () => {
  const got = await azure({ deployment: 'gpt-4o' }).chat.completions.create({ messages: say('/echo 你好') });
  assert.equal(got.choices[0].message.content, '【练习】你好');
  assert.match(got._request_id, /^hp_/);
});

test('azure: the model of the body names the deployment where the client has none', async () => {
  const got = await azure().chat.completions.create({ model: 'gpt-4o', messages: say('/echo hi') });
  assert.equal(got.choices[0].message.content, '[practice] hi');
});

test('azure: the deployment in the path wins over the body', async () => {
  const err = await caught(azure({ deployment: forbidden }).chat.completions.create({ model: 'gpt-4o', messages: say('hi') }));
  assert.ok(err instanceof PermissionDeniedError);
  assert.equal(err.code, 'policy_denied');
});

test('azure: a stream, with tools', async () => {
  const run = azure({ deployment: 'gpt-4o' }).chat.completions.stream({
    model: '', messages: say('practice: tool get_weather {"city":"成都","days":1}'), tools: [weather] });
  const call = (await run.finalMessage()).tool_calls[0];
  assert.deepEqual(JSON.parse(call.function.arguments), { city: '成都', days: 1 });
});

test('azure: a token provider sends a bearer', async () => {
  const got = await azure({ apiKey: undefined, azureADTokenProvider: async () => key, deployment: 'gpt-4o' })
    .chat.completions.create({ model: '', messages: say('/echo token') });
  assert.equal(got.choices[0].message.content, '[practice] token');
});

test('azure: embeddings by deployment', async () => {
  const got = await azure({ deployment: 'text-embedding-3-small' }).embeddings.create({ model: '', input: 'x', dimensions: 4 });
  assert.equal(got.data[0].embedding.length, 4);
});

test('azure: the v1 form takes the openai class, with api-key or bearer', async () => {
  for (const options of [{}, { apiKey: 'unused-placeholder-of-the-client', defaultHeaders: { 'api-key': key, Authorization: null } }]) {
    const got = await client({ baseURL: `${origin}/openai/v1`, ...options }).chat.completions.create({ model: 'gpt-4o', messages: say('/echo v1') });
    assert.equal(got.choices[0].message.content, '[practice] v1');
  }
});
