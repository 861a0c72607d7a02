/** Deletes the streams of a scratch prefix. */
import { Deadlines } from '../shared/deadlines.ts';
import { requireScratch, SCRATCH_LIMIT_MS, SCRATCH_OPTIONS } from '../shared/scratch.ts';
import { apiFailure, CODES } from './failures.ts';
import { ask } from './jetstream.ts';
import { STREAMS, streamName } from './names.ts';
import { openLink, type Target } from './target.ts';

export async function deleteStreams(target: Target, prefix: string): Promise<void> {
  requireScratch(prefix);
  const { time, random } = SCRATCH_OPTIONS;
  const deadlines = new Deadlines(time, SCRATCH_LIMIT_MS);
  const link = await openLink(target, { time, random, connectMs: SCRATCH_LIMIT_MS });
  try {
    for (const key of STREAMS) {
      const name = streamName(prefix, key);
      const { error } = await ask(link, `STREAM.DELETE.${name}`, {}, deadlines.deadline());
      if (error !== undefined && error.err_code !== CODES.streamNotFound)
        throw apiFailure(link.where, `the stream ${name}`, error);
    }
  } finally {
    await link.close();
  }
}
