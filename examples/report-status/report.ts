/** Stands for work of minutes. `REPORT_MS`: how long it takes. */
import { setTimeout as pause } from 'node:timers/promises';

export async function makeReport(topic: string): Promise<string> {
  await pause(Number(process.env['REPORT_MS'] ?? 60_000));
  if (topic === 'none') throw new Error('no data');
  return `all about ${topic}`;
}
