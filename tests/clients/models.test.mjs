import assert from 'node:assert/strict';
import test from 'node:test';
import { caught, client } from './gateway.mjs';

test('models: list and retrieve what this key may use', async () => {
  const ids = [];
  for await (const m of client().models.list()) {
    assert.equal(m.object, 'model');
    assert.equal(typeof m.created, 'number');
    assert.equal(typeof m.owned_by, 'string');
    ids.push(m.id);
  }
  assert.ok(ids.includes('practice'), `practice is not among ${ids}`);
  assert.equal((await client().models.retrieve('practice')).id, 'practice');
});

test('models: retrieving an unknown one is a 404', async () => {
  const err = await caught(client().models.retrieve('no-such-model'));
  assert.equal(err.constructor.name, 'NotFoundError');
  assert.equal(err.code, 'model_not_found');
});
