import { parseArgs } from 'node:util';
import { STORES, type StoreKind } from './backing-store.ts';

const SCENARIOS = ['faults', 'outage', 'failover', 'rolling'] as const;
export type Scenario = (typeof SCENARIOS)[number];

/** How the instances make their servers. */
const SERVERS = ['factory', 'definition'] as const;
export type Servers = (typeof SERVERS)[number];

export interface ChaosArguments {
  readonly help: boolean;
  readonly stores: readonly StoreKind[];
  readonly scenarios: readonly Scenario[];
  readonly seed: number;
  readonly kills: number;
  readonly stops: number;
  readonly instances: number;
  readonly servers: Servers;
  readonly logs: string | undefined;
}

export const usage = `npm run chaos -- --store all [options]

  --store LIST      of ${STORES.join(',')}; or all (sqlite)
  --scenario LIST   of ${SCENARIOS.join(',')}; or all (all)
  --seed N          the order of faults and the clients' choices follow from it (1)
  --kills N         SIGKILLs of the scenario faults (100); drains, store restarts and the rest follow from it
  --stops N         SIGSTOPs past the lease (30)
  --instances N     in the scenarios outage and failover: 1 to 3 (3)
  --servers KIND    factory: a server for each session; definition: one for all (factory)
  --logs FOLDER     keep what the instances log there, with debug lines, the effects file, and what happened when
`;

export function parseArguments(argv: readonly string[]): ChaosArguments {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      store: { type: 'string', default: 'sqlite' },
      scenario: { type: 'string', default: 'all' },
      seed: { type: 'string', default: '1' },
      kills: { type: 'string', default: '100' },
      stops: { type: 'string', default: '30' },
      instances: { type: 'string', default: '3' },
      servers: { type: 'string', default: 'factory' },
      logs: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  return {
    help: values.help,
    stores: listed('store', values.store, STORES),
    scenarios: listed('scenario', values.scenario, SCENARIOS),
    seed: count('seed', values.seed),
    kills: count('kills', values.kills),
    stops: count('stops', values.stops),
    instances: count('instances', values.instances),
    servers: one('servers', values.servers, SERVERS),
    logs: values.logs,
  };
}

function listed<T extends string>(name: string, value: string, all: readonly T[]): readonly T[] {
  return value === 'all' ? all : value.split(',').map((given) => one(name, given, all));
}

function one<T extends string>(name: string, given: string, all: readonly T[]): T {
  const found = all.find((known) => known === given);
  if (found === undefined) throw new Error(`--${name} takes ${all.join(', ')}, got ${given}`);
  return found;
}

function count(name: string, value: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 0) throw new Error(`--${name} takes a whole number, got ${value}`);
  return number;
}
