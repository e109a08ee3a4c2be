// What every test file shares: where the gateway is, and clients for it. The Go test beside this file sets the environment.
import OpenAI, { AzureOpenAI } from 'openai';

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set; run \`go test ./tests/clients\``);
  return value;
}

export const origin = need('HOMEPORT_BASE_URL').replace(/\/v1\/?$/, ''); // such as http://127.0.0.1:40001
export const key = need('HOMEPORT_KEY');

// Models of hptest.Config: every gpt-* is the practice upstream; forbidden-* is an overseas target and always refused.
export const model = 'gpt-4o';
export const forbidden = 'forbidden-gpt';

// client is the openai client as an application makes it: a base URL and a key, nothing else. Retries are off unless asked
// for, so that a test sees the gateway's first answer.
export function client(options = {}) {
  return new OpenAI({ baseURL: `${origin}/v1`, apiKey: key, maxRetries: 0, ...options });
}

export function azure(options = {}) {
  return new AzureOpenAI({ endpoint: origin, apiKey: key, apiVersion: '2024-10-21', maxRetries: 0, ...options });
}

// counting wraps fetch and counts the calls.
export function counting() {
  const counter = async (...args) => {
    counter.calls += 1;
    return fetch(...args);
  };
  counter.calls = 0;
  return counter;
}

export const say = (content) => [{ role: 'user', content }];

// caught returns what a promise rejects with, and fails if it does not.
export async function caught(promise) {
  let value;
  try {
    value = await promise;
  } catch (err) {
    return err;
  }
  throw new Error(`expected a rejection, got ${JSON.stringify(value)}`);
}

export const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: '查询天气',
    parameters: {
      type: 'object',
      properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1 } },
      required: ['city', 'days'],
      additionalProperties: false,
    },
  },
};

export const clock = {
  type: 'function',
  function: {
    name: 'get_time',
    parameters: { type: 'object', properties: { zone: { enum: ['Asia/Shanghai', 'UTC'] } }, required: ['zone'] },
  },
};
