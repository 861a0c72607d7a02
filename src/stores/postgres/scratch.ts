/** Drops a scratch schema. */
import { Deadlines } from '../shared/deadlines.ts';
import { requireScratch, SCRATCH_LIMIT_MS, SCRATCH_OPTIONS } from '../shared/scratch.ts';
import { Connection, placeOf } from './connection.ts';
import type { DatabaseSettings } from './database.ts';
import { storeFailure } from './failures.ts';
import { loadPg } from './pg.ts';
import { quoted } from './schema.ts';

/** Who created a schema may drop it. */
export async function dropSchema({ direct, schema }: DatabaseSettings): Promise<void> {
  requireScratch(schema);
  const pg = await loadPg();
  const place = placeOf(pg, direct);
  const deadlines = new Deadlines(SCRATCH_OPTIONS.time, SCRATCH_LIMIT_MS);
  const connection = await Connection.open({ pg, config: direct, deadlines, place }, { durable: true });
  try {
    await connection.query({ name: 'drop', text: `DROP SCHEMA IF EXISTS ${quoted(schema)} CASCADE` }, [], false);
  } catch (error) {
    throw storeFailure(place, error);
  } finally {
    await connection.close();
  }
}
