/** Wires the eras of an endpoint, and the checks that lead to them. */
import type { Finder } from '../cluster/finder.ts';
import type { Instance } from '../cluster/instance.ts';
import { LegacyEra } from '../eras/legacy/legacy-era.ts';
import { LegacySseEra } from '../eras/legacy/sse-era.ts';
import { StatelessEra } from '../eras/legacy/stateless-era.ts';
import { ModernEra } from '../eras/modern/modern-era.ts';
import { seenClients } from '../eras/message-checks.ts';
import { RequestChecks } from '../eras/request-checks.ts';
import { RequestLimits } from '../limits/request-limits.ts';
import type { RandomSource } from '../base/system.ts';
import type { ServerBuilder } from '../session/server/server-builder.ts';
import type { SessionBuilder } from '../session/server/session-builder.ts';
import type { Registry } from '../session/registry.ts';
import type { SessionOpener } from '../session/life/session-opener.ts';
import type { EndpointBus } from './bus.ts';
import type { EndpointTaskParts } from './task-parts.ts';

export interface ErasOptions {
  readonly registry: Registry;
  readonly instance: Instance;
  readonly finder: Finder;
  readonly opener: SessionOpener;
  readonly servers: ServerBuilder;
  readonly builder: SessionBuilder;
  readonly bus: EndpointBus;
  readonly random: RandomSource;
  readonly tasks: EndpointTaskParts | undefined;
}

export type Eras = ReturnType<typeof createEras>;

export function createEras(given: ErasOptions) {
  const { registry, servers, builder, bus } = given;
  const { options, services, lifecycle } = registry;
  const { timeProvider: time, limits, perUser, perTool } = options;
  const gate = new RequestLimits({ time, limits, perUser, perTool });
  const noteClient = seenClients(options.notices);
  const shared = { options, gate, lifecycle };
  const requests = { ...shared, services, servers, noteClient, largeAnswers: registry.largeAnswers };
  const modern = new ModernEra({ ...requests, bus, tasks: given.tasks?.wire });
  given.tasks?.serveWith(modern);
  const legacy = new LegacyEra({ ...given, ...shared });
  const stateless = new StatelessEra(requests);
  const posts = options.sessionMode === 'stateless' ? stateless : legacy;
  const sse = options.legacySse ? new LegacySseEra({ builder, legacy: legacy.parts }) : undefined;
  const checks = new RequestChecks(options, lifecycle, { modern, posts, sessions: legacy });
  return { legacy, stateless, modern, sse, checks };
}
