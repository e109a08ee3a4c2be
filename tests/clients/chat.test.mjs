import assert from 'node:assert/strict';
import test from 'node:test';
import { client, model, say } from './gateway.mjs';

test('chat: a plain answer with usage and request id', async () => {
  const { data, response } = await client().chat.completions.create({ model, messages: say('/echo 你好，世界') }).withResponse();
  assert.equal(data.object, 'chat.completion');
  assert.equal(data.choices[0].message.role, 'assistant');
  assert.equal(data.choices[0].message.content, '【练习】你好，世界');
  assert.equal(data.choices[0].finish_reason, 'stop');
  assert.ok(data.usage.prompt_tokens > 0);
  assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
  assert.match(data._request_id, /^hp_/);
  assert.equal(response.headers.get('x-homeport-target'), 'home/practice');
  assert.ok(['allow', 'allow_with_duties'].includes(response.headers.get('x-homeport-verdict')));
});

test('chat: each request has its own id', async () => {
  const ask = () => client().chat.completions.create({ model, messages: say('hi') });
  const [a, b] = await Promise.all([ask(), ask()]);
  assert.notEqual(a._request_id, b._request_id);
});

test('chat: n, stop, token limit, logprobs and seed arrive', async () => {
  const two = await client().chat.completions.create({
    model, messages: say('/echo one two three'), n: 2, stop: [' three'], logprobs: true, top_logprobs: 1, seed: 7,
  });
  assert.deepEqual(two.choices.map((c) => [c.index, c.message.content]), [[0, '[practice] one two'], [1, '[practice] one two']]);
  assert.equal(two.choices[0].logprobs.content[0].token, '[');

  const cut = await client().chat.completions.create({ model, messages: say('/echo one two three'), max_completion_tokens: 4 });
  assert.equal(cut.choices[0].finish_reason, 'length');
  assert.equal(cut.usage.completion_tokens, 4);
});

test('chat: reasoning comes back where an effort is asked for', async () => {
  const got = await client().chat.completions.create({ model, messages: say('hi'), reasoning_effort: 'low' });
  assert.match(got.choices[0].message.reasoning_content, /practice upstream does not think/);
});

test('chat: vision parts, developer and system roles arrive', async () => {
  const got = await client().chat.completions.create({
    model,
    messages: [
      { role: 'developer', content: 'brief' },
      { role: 'user', content: [{ type: 'text', text: 'look' }, { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } }] },
    ],
  });
  assert.match(got.choices[0].message.content, /2 messages.*1 image/);
});

test('chat: the old functions form', async () => {
  const got = await client().chat.completions.create({
    model, messages: say('hi'), function_call: { name: 'lookup' },
    functions: [{ name: 'lookup', parameters: { type: 'object', properties: { id: { type: 'integer' } }, required: ['id'] } }],
  });
  assert.equal(got.choices[0].finish_reason, 'function_call');
  assert.deepEqual(JSON.parse(got.choices[0].message.function_call.arguments), { id: 0 });
});

test('completions: plain and streamed', async () => {
  const got = await client().completions.create({ model: 'gpt-3.5-turbo-instruct', prompt: '/echo 从前', max_tokens: 100 });
  assert.equal(got.choices[0].text, '【练习】从前');
  let text = '';
  for await (const chunk of await client().completions.create({ model: 'gpt-3.5-turbo-instruct', prompt: '/echo 从前', stream: true })) {
    text += chunk.choices[0]?.text ?? '';
  }
  assert.equal(text, '【练习】从前');
});
