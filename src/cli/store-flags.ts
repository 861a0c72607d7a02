/** The flags that name the store of a deployment, for the commands that read it. */
import type { Command } from 'commander';
import { DEFAULTS } from '../options/table.ts';
import { UsageError } from './failure.ts';
import type { StoreRequest } from './opened-store.ts';
import { variableName } from './option-flags.ts';
import type { Environment } from './settings.ts';

export interface StoreFlags {
  readonly store?: string;
  readonly name?: string;
}

export const withStore = (command: Command): Command =>
  command
    .option('--store <url>', `the store, e.g. sqlite:./sessions.db (or ${variableName('store')})`)
    .option('--name <name>', `the endpoint's name (default: ${DEFAULTS.name})`);

/** `command`: as the user wrote it, for the error. */
export function storeRequest(command: string, { store, name }: StoreFlags, env: Environment): StoreRequest {
  const storeUrl = store ?? (env[variableName('store')] || undefined);
  if (storeUrl === undefined)
    throw new UsageError(`${command} needs --store (or ${variableName('store')}), e.g. sqlite:./sessions.db`);
  const origin = store === undefined ? variableName('store') : '--store';
  return { storeUrl, origin, name: name ?? (env[variableName('name')] || DEFAULTS.name) };
}
