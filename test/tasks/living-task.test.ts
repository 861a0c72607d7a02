import { expect, test } from 'vitest';
import type { StoredRecord } from '../../src/stores/store.ts';
import { bodyText, type KeptTask } from '../../src/tasks/task-record.ts';
import { LivingTask } from '../../src/tasks/task-store.ts';
import { readableTask } from '../../src/tasks/wire-shapes.ts';
import { plainRecord } from '../store-contract/plain-record.ts';

const kept: KeptTask = {
  ttlMs: 60_000,
  keepMs: 1_000,
  pollIntervalMs: 500,
  resume: true,
  maxAttempts: 5,
  tool: 'a "tool","request":',
  request: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'a' } },
  version: '2026-07-28',
  fields: { method: 'POST', url: '/mcp', absoluteUrl: 'http://localhost/mcp', headers: {} },
  nonce: 'n',
};

const recordOf = (body: string): StoredRecord =>
  plainRecord('group.name', { epoch: 1, owner: 'o' }, { head: 'running 1 1', body });

test('a client is shown a task whose call is not parsed for that', () => {
  const body = bodyText(kept);
  const cut = new LivingTask(recordOf(body.slice(0, body.indexOf('"jsonrpc"'))));
  expect(readableTask('group.name', cut)).toMatchObject({ status: 'working', ttlMs: 60_000, pollIntervalMs: 500 });
  expect(cut.settings.tool).toBe(kept.tool);
  expect(() => cut.kept).toThrow(expect.objectContaining({ code: 'TASK_UNREADABLE' }));
  expect(new LivingTask(recordOf(body)).kept).toMatchObject(kept);
  expect(() => new LivingTask(recordOf('{"v":2,"request":{}}'))).toThrow(
    expect.objectContaining({ code: 'TASK_UNREADABLE' }),
  );
});
