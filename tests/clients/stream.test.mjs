import assert from 'node:assert/strict';
import test from 'node:test';
import { caught, client, model, say } from './gateway.mjs';

test('stream: the async iterator gives every delta in order, and a finish', async () => {
  const stream = await client().chat.completions.create({ model, messages: say('practice: long 300\n请'), stream: true });
  let text = '';
  const ids = new Set();
  const finishes = [];
  for await (const chunk of stream) {
    ids.add(chunk.id);
    assert.equal(chunk.object, 'chat.completion.chunk');
    assert.equal(chunk.usage ?? null, null, 'usage was not asked for');
    assert.equal(chunk.choices.length, 1, 'no chunk without choices where usage was not asked for');
    text += chunk.choices[0].delta.content ?? '';
    if (chunk.choices[0].finish_reason) finishes.push(chunk.choices[0].finish_reason);
  }
  assert.equal(text, '【练习】' + Array.from({ length: 300 }, (_, i) => `第 ${i + 1} 段。`).join(''));
  assert.equal(ids.size, 1);
  assert.deepEqual(finishes, ['stop']);
});

test('stream: usage comes last when it is asked for', async () => {
  const stream = await client().chat.completions.create({ model, messages: say('hi'), stream: true, stream_options: { include_usage: true } });
  let last;
  for await (const chunk of stream) last = chunk;
  assert.deepEqual(last.choices, []);
  assert.ok(last.usage.completion_tokens > 0);
});

test('stream: the helper collects the final message and its usage', async () => {
  const run = client().chat.completions.stream({ model, messages: say('/echo 收集'), stream_options: { include_usage: true } });
  assert.equal(await run.finalContent(), '【练习】收集');
  assert.ok((await run.totalUsage()).total_tokens > 0);
});

test('stream: answers with n choices keep them apart', async () => {
  const text = ['', ''];
  for await (const chunk of await client().chat.completions.create({ model, messages: say('/echo a b'), n: 2, stream: true })) {
    for (const c of chunk.choices) text[c.index] += c.delta.content ?? '';
  }
  assert.deepEqual(text, ['[practice] a b', '[practice] a b (choice 2)']);
});

test('stream: the raw bytes end with [DONE] and are not buffered by proxies', async () => {
  const res = await client().chat.completions.create({ model, messages: say('hi'), stream: true }).asResponse();
  assert.match(res.headers.get('content-type'), /^text\/event-stream/);
  assert.match(res.headers.get('cache-control'), /no-cache/);
  assert.equal(res.headers.get('x-accel-buffering'), 'no');
  assert.match(res.headers.get('x-request-id'), /^hp_/);
  const body = await res.text();
  assert.ok(body.endsWith('data: [DONE]\n\n'));
});

test('stream: silence in the middle is no end', async () => {
  const stream = await client().chat.completions.create({ model, messages: say('practice: silence 2s\n/echo later'), stream: true });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
  assert.equal(text, '[practice] later');
});

for (const trouble of ['practice: error in stream', 'practice: break stream']) {
  test(`stream: ${trouble} raises after the first deltas`, async () => {
    const stream = await client().chat.completions.create({ model, messages: say(`${trouble}\nhello`), stream: true });
    let deltas = 0;
    const err = await caught((async () => {
      for await (const _ of stream) deltas += 1;
    })());
    assert.ok(deltas > 0, 'deltas before the trouble arrive');
    assert.ok(err instanceof Error);
  });
}

test('abort: breaking out of the loop, and a signal', async () => {
  const slow = { model, messages: say('practice: long 100000 20ms'), stream: true };
  const stream = await client().chat.completions.create(slow);
  for await (const chunk of stream) {
    if (chunk.choices[0]?.delta.content) break;
  }
  assert.ok(stream.controller.signal.aborted);

  const abort = new AbortController();
  let seen = 0;
  for await (const _ of await client().chat.completions.create(slow, { signal: abort.signal })) {
    if (++seen === 3) abort.abort();
  }
  assert.ok(seen < 100, 'the loop ends with the abort');
  // The Go test checks that both cancels reached the upstream.
});

test('abort: before the answer', async () => {
  const err = await caught(client().chat.completions.create(
    { model, messages: say('practice: slow 60s') }, { signal: AbortSignal.timeout(300) }));
  assert.equal(err.constructor.name, 'APIUserAbortError');
});
