/** A SQLite store that acknowledges each write at once, and stores it a moment later. */
import { sqlite } from '../../../dist/stores/sqlite/index.js';

const LATE_MS = 30;

const late = (write) => {
  const stored = new Promise((resolve) => setTimeout(resolve, LATE_MS)).then(write);
  stored.catch(() => undefined);
  return 'written';
};

const forgetfulRecords = (records) => ({
  create: (...given) => records.create(...given),
  claim: (...given) => records.claim(...given),
  save: (...given) => late(() => records.save(...given)),
  add: (...given) => late(() => records.add(...given)),
  append: (...given) => late(() => records.append(...given)),
  end: (...given) => new Promise((resolve) => setTimeout(resolve, 2 * LATE_MS)).then(() => records.end(...given)),
});

export const forgetful = (path) => {
  const store = sqlite(path);
  return {
    kind: 'forgetful',
    durable: true,
    inProcess: false,
    async open(options) {
      const view = await store.open(options);
      return { ...view, records: (kind) => forgetfulRecords(view.records(kind)) };
    },
  };
};
