/** Instances of `processes/pay-server.mjs` on one store, and their callers. */
import { join } from 'node:path';
import { createRawClient, type JsonRpcAnswer } from '../kit/raw-client.ts';
import { effectsDeployment } from '../kit/effects-deployment.ts';
import { callModern } from '../kit/modern.ts';
import type { DurableKind } from '../kit/shared-stores.ts';

const SERVER = join(import.meta.dirname, 'processes/pay-server.mjs');
export const PATIENCE_MS = 30_000;

export const payDeployment = (kind: DurableKind) => effectsDeployment(kind, SERVER);

/** `undefined`: the connection broke. */
export async function callPay(url: string, tool: string, key: string, ms = 0): Promise<JsonRpcAnswer | undefined> {
  const client = createRawClient(url, { timeoutMs: PATIENCE_MS });
  try {
    return (await callModern(client, 'tools/call', { name: tool, arguments: { key, ms } })).message;
  } catch {
    return undefined;
  } finally {
    client.close();
  }
}
