import assert from 'node:assert/strict';
import test from 'node:test';
import { client } from './gateway.mjs';

const model = 'text-embedding-3-small';
const norm = (v) => Math.hypot(...v);

test('embeddings: the default path (base64 on the wire) equals the float path', async () => {
  const packed = await client().embeddings.create({ model, input: ['你好', 'world'] });
  const plain = await client().embeddings.create({ model, input: ['你好', 'world'], encoding_format: 'float' });
  assert.equal(packed.data.length, 2);
  assert.equal(packed.data[0].embedding.length, 1536);
  packed.data.forEach((d, i) => {
    assert.equal(d.index, i);
    assert.ok(Math.abs(norm(d.embedding) - 1) < 1e-5);
    assert.deepEqual(d.embedding.map(Math.fround), plain.data[i].embedding.map(Math.fround));
  });
  assert.ok(packed.usage.prompt_tokens > 0);
  assert.match(packed._request_id, /^hp_/);
});

test('embeddings: one text, tokens, lists of tokens, dimensions', async () => {
  for (const [input, count] of [['text', 1], [[1, 2, 3], 1], [[[1, 2], [3]], 2]]) {
    const got = await client().embeddings.create({ model, input, dimensions: 8 });
    assert.equal(got.data.length, count);
    assert.equal(got.data[0].embedding.length, 8);
  }
});

test('embeddings: base64 as asked stays base64', async () => {
  const got = await client().embeddings.create({ model, input: 'x', dimensions: 4, encoding_format: 'base64' });
  assert.equal(Buffer.from(got.data[0].embedding, 'base64').length, 16);
});
