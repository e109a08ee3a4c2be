import assert from 'node:assert/strict';
import test from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, embedMany, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from 'ai';
import { z } from 'zod';
import { caught, forbidden, key, model, origin } from './gateway.mjs';

const homeport = createOpenAICompatible({
  name: 'homeport', baseURL: `${origin}/v1`, apiKey: key, includeUsage: true, supportsStructuredOutputs: true });

const weather = (asked) => ({
  get_weather: tool({
    description: '查询天气',
    inputSchema: z.object({ city: z.string() }),
    execute: async (input) => { asked.push(input); return '晴'; },
  }),
});

test('vercel: generateText with usage', async () => {
  const got = await generateText({ model: homeport(model), prompt: '/echo 你好' });
  assert.equal(got.text, '【练习】你好');
  assert.equal(got.finishReason, 'stop');
  assert.ok(got.usage.inputTokens > 0 && got.usage.outputTokens > 0);
});

test('vercel: streamText with usage', async () => {
  const got = streamText({ model: homeport(model), prompt: 'practice: long 50' });
  let parts = 0;
  for await (const _ of got.textStream) parts += 1;
  assert.ok(parts > 1, 'it arrives in parts');
  assert.match(await got.text, /piece 50\. $/);
  assert.equal((await got.usage).outputTokens, 50);
});

test('vercel: reasoning is told apart from text', async () => {
  const got = await generateText({ model: homeport(model), prompt: '/echo ok', providerOptions: { homeport: { reasoningEffort: 'high' } } });
  assert.equal(got.text, '[practice] ok');
  assert.match(got.reasoningText, /does not think/);
});

test('vercel: a tool loop of two steps', async () => {
  const asked = [];
  const got = await generateText({
    model: homeport(model), prompt: 'practice: tool get_weather {"city":"杭州"}', tools: weather(asked), stopWhen: stepCountIs(3) });
  assert.deepEqual(asked, [{ city: '杭州' }]);
  assert.equal(got.steps.length, 2);
  assert.match(got.text, /1 character/);
});

test('vercel: a streamed tool loop', async () => {
  const asked = [];
  const got = streamText({
    model: homeport(model), prompt: 'practice: tool get_weather {"city":"西安"}', tools: weather(asked), stopWhen: stepCountIs(3) });
  assert.match(await got.text, /1 character/);
  assert.deepEqual(asked, [{ city: '西安' }]);
});

test('vercel: generateObject and streamObject', async () => {
  const schema = z.object({ title: z.string(), count: z.number().int().min(3) });
  const whole = await generateObject({ model: homeport(model), schema, prompt: '来一个' });
  assert.deepEqual(whole.object, { title: '练习', count: 3 });
  assert.ok(whole.usage.totalTokens > 0);
  const stream = streamObject({ model: homeport(model), schema, prompt: 'one' });
  let last;
  for await (const partial of stream.partialObjectStream) last = partial;
  assert.deepEqual(last, { title: 'practice', count: 3 });
});

test('vercel: embedMany', async () => {
  const got = await embedMany({ model: homeport.embeddingModel('text-embedding-3-small'), values: ['甲', '乙'] });
  assert.equal(got.embeddings.length, 2);
  assert.equal(got.embeddings[0].length, 1536);
});

test('vercel: a refusal is an APICallError that is not retried', async () => {
  const err = await caught(generateText({ model: homeport(forbidden), prompt: 'hi', maxRetries: 2 }));
  assert.ok(APICallError.isInstance(err), 'not a RetryError: it was tried once');
  assert.equal(err.statusCode, 403);
  assert.equal(err.isRetryable, false);
  assert.equal(JSON.parse(err.responseBody).error.code, 'policy_denied');
});

test('vercel: an error in the stream reaches the caller', async () => {
  const errors = [];
  const got = streamText({ model: homeport(model), prompt: 'practice: error in stream\nhello', onError: ({ error }) => errors.push(error) });
  let text = '';
  for await (const part of got.textStream) text += part;
  assert.ok(text.length > 0);
  assert.ok(errors.length > 0);
});
