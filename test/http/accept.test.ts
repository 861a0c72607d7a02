import { describe, expect, test } from 'vitest';
import { acceptsBoth, acceptsStream } from '../../src/http/accept.ts';

describe('acceptsBoth', () => {
  test.each([
    ['application/json, text/event-stream'],
    ['text/event-stream,application/json'],
    ['*/*'],
    [' */* '],
    ['application/*;q=0.001, text/*'],
    ['text/html, */*;q=0.8'],
    ['application/json;charset="a,b;c", text/event-stream'],
    [', ,application/json,, text/event-stream,'],
    ['APPLICATION/JSON;Q=1, TEXT/EVENT-STREAM'],
  ])('takes %j', (header) => {
    expect(acceptsBoth(header)).toBe(true);
  });

  test.each([
    [undefined],
    [''],
    [','],
    ['application/json'],
    ['text/event-stream'],
    ['application/jsonp, text/event-stream'],
    ['application/json, text/event-stream-x'],
    ['application/json text/event-stream'],
    ['application, text'],
    ['*'],
    ['application/json;q=0, */*'],
    ['application/json, text/*;q=0'],
    ['application/json, text/event-stream;q=0.0'],
    ['application/json, text/event-stream;q=none'],
    ['text/plain;note="x, application/json, text/event-stream, y"'],
    [String.raw`text/plain;note="a\", application/json, text/event-stream, \""`],
  ])('refuses %j', (header) => {
    expect(acceptsBoth(header)).toBe(false);
  });
});

describe('acceptsStream', () => {
  test('asks for a stream alone', () => {
    expect(acceptsStream('text/event-stream')).toBe(true);
    expect(acceptsStream('application/json')).toBe(false);
    expect(acceptsStream(undefined)).toBe(false);
  });

  test('goes by the most specific range, wherever it is in the list', () => {
    expect(acceptsStream('*/*;q=0, text/event-stream')).toBe(true);
    expect(acceptsStream('text/event-stream, */*;q=0')).toBe(true);
    expect(acceptsStream('*/*, text/*;q=0')).toBe(false);
    expect(acceptsStream('text/*, text/event-stream;q=0')).toBe(false);
  });
});

test('a verdict does not change with the number of later verdicts', () => {
  const header = 'application/json, text/event-stream, x/0';
  expect(acceptsBoth(header)).toBe(true);
  for (let n = 1; n < 300; n++) expect(acceptsBoth(`application/json, x/${n}`)).toBe(false);
  expect(acceptsBoth(header)).toBe(true);
  const long = `application/json, ${'x/y, '.repeat(1_000)}text/event-stream`;
  expect(acceptsBoth(long)).toBe(true);
  expect(acceptsBoth(long.replace('application/json', 'application/jsom'))).toBe(false);
});
