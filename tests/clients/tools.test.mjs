import assert from 'node:assert/strict';
import test from 'node:test';
import { client, clock, model, say, weather } from './gateway.mjs';

test('tools: a call, its result, and the answer to it', async () => {
  const messages = say('practice: tool get_weather {"city":"北京","days":2}');
  const first = await client().chat.completions.create({ model, messages, tools: [weather] });
  const { message, finish_reason } = first.choices[0];
  assert.equal(finish_reason, 'tool_calls');
  assert.equal(message.content, null);
  assert.equal(message.tool_calls[0].function.name, 'get_weather');
  assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { city: '北京', days: 2 });

  const second = await client().chat.completions.create({
    model, tools: [weather],
    messages: [...messages, message, { role: 'tool', tool_call_id: message.tool_calls[0].id, content: '晴，26 度' }],
  });
  assert.match(second.choices[0].message.content, /6 characters/);
  assert.equal(second.choices[0].finish_reason, 'stop');
});

test('tools: parallel calls, and one where they are off', async () => {
  const ask = (extra) => client().chat.completions.create({ model, messages: say('get_weather and get_time, please'), tools: [weather, clock], ...extra });
  const both = (await ask({})).choices[0].message.tool_calls;
  assert.deepEqual(both.map((c) => c.function.name), ['get_weather', 'get_time']);
  assert.equal(new Set(both.map((c) => c.id)).size, 2);
  assert.deepEqual(JSON.parse(both[1].function.arguments), { zone: 'Asia/Shanghai' });
  assert.equal((await ask({ parallel_tool_calls: false })).choices[0].message.tool_calls.length, 1);
});

test('tools: tool_choice required, named and none', async () => {
  const ask = (tool_choice) => client().chat.completions.create({ model, messages: say('hello'), tools: [weather, clock], tool_choice });
  assert.equal((await ask('required')).choices[0].message.tool_calls.length, 1);
  const named = await ask({ type: 'function', function: { name: 'get_time' } });
  assert.equal(named.choices[0].message.tool_calls[0].function.name, 'get_time');
  assert.equal((await ask('none')).choices[0].message.tool_calls, undefined);
});

test('tools: streamed deltas have an index, and id and name only once', async () => {
  const stream = await client().chat.completions.create({
    model, stream: true, tools: [weather, clock],
    messages: say('practice: tool get_weather {"city":"上海","days":1}\npractice: tool get_time'),
  });
  const calls = [];
  let finish;
  for await (const chunk of stream) {
    finish = chunk.choices[0]?.finish_reason ?? finish;
    for (const d of chunk.choices[0]?.delta.tool_calls ?? []) {
      if (!calls[d.index]) {
        calls[d.index] = { id: d.id, name: d.function.name, args: '' };
        assert.ok(d.id && d.function.name);
      } else {
        assert.equal(d.id, undefined);
        assert.equal(d.function.name, undefined);
      }
      calls[d.index].args += d.function.arguments;
    }
  }
  assert.equal(finish, 'tool_calls');
  assert.deepEqual(calls.map((c) => [c.name, JSON.parse(c.args)]), [
    ['get_weather', { city: '上海', days: 1 }], ['get_time', { zone: 'Asia/Shanghai' }]]);
});

test('tools: runTools drives the whole loop', async () => {
  const asked = [];
  const runner = client().chat.completions.runTools({
    model, messages: say('practice: tool get_weather {"city":"广州","days":3}'), stream: true,
    tools: [{ type: 'function', function: { ...weather.function, parse: JSON.parse, function: (args) => { asked.push(args); return '多云'; } } }],
  });
  assert.match(await runner.finalContent(), /2 characters/);
  assert.deepEqual(asked, [{ city: '广州', days: 3 }]);
});
