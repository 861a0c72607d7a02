/** `endpoint.emit`. */
import { optionsContradict } from '../base/errors.ts';
import type { EventData } from '../base/options/events-options.ts';
import { type EmitOptions, eventIdOf } from '../durable/events/emitting.ts';
import type { Core } from './core.ts';

export function endpointEmit(core: Core) {
  return async (name: string, data: EventData, options: EmitOptions = {}): Promise<string> => {
    const { events } = core;
    if (events === undefined)
      throw optionsContradict('emit() needs the option events, which has the types of events');
    const record = events.emitting.recordOf(name, data, options);
    await core.ready();
    await events.emitting.emit(record);
    return eventIdOf(record);
  };
}
