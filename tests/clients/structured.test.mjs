import assert from 'node:assert/strict';
import test from 'node:test';
import { zodFunction, zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { client, model, say } from './gateway.mjs';

const Person = z.object({
  name: z.string(),
  age: z.number().int(),
  role: z.enum(['客户', '员工']),
  tags: z.array(z.string()),
  boss: z.string().nullable(),
});

test('structured: parse() with a zod schema', async () => {
  const got = await client().chat.completions.parse({ model, messages: say('给我一个人'), response_format: zodResponseFormat(Person, 'person') });
  assert.deepEqual(got.choices[0].message.parsed, { name: '练习', age: 0, role: '客户', tags: [], boss: '练习' });
  assert.equal(got.choices[0].message.refusal, null);
});

test('structured: streamed, the final message is parsed', async () => {
  const run = client().chat.completions.stream({ model, messages: say('a person'), response_format: zodResponseFormat(Person, 'person') });
  assert.equal((await run.finalChatCompletion()).choices[0].message.parsed.name, 'practice');
});

test('structured: json_schema by hand', async () => {
  const schema = { type: 'object', properties: { n: { type: 'integer', minimum: 5 } }, required: ['n'], additionalProperties: false };
  const got = await client().chat.completions.create({
    model, messages: say('hi'), response_format: { type: 'json_schema', json_schema: { name: 'n', strict: true, schema } } });
  assert.deepEqual(JSON.parse(got.choices[0].message.content), { n: 5 });
});

test('structured: json_object', async () => {
  const got = await client().chat.completions.create({ model, messages: say('JSON, please'), response_format: { type: 'json_object' } });
  assert.equal(JSON.parse(got.choices[0].message.content).practice, true);
});

test('structured: strict tool arguments by zod', async () => {
  const got = await client().chat.completions.parse({
    model, messages: say('hi'), tool_choice: 'required', tools: [zodFunction({ name: 'save', parameters: Person })] });
  assert.equal(got.choices[0].message.tool_calls[0].function.parsed_arguments.role, '客户');
});
