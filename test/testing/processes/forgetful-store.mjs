/** A SQLite store that acknowledges each write at once, and stores it a moment later. */
import { sqlite } from '../../../dist/stores/sqlite/index.js';

const LATE_MS = 30;

const late = (write) => {
  const stored = new Promise((resolve) => setTimeout(resolve, LATE_MS)).then(write);
  stored.catch(() => undefined);
  return 'written';
};

export const forgetful = (path) => {
  const store = sqlite(path);
  return {
    kind: 'forgetful',
    durable: true,
    inProcess: false,
    async open(options) {
      const view = await store.open(options);
      const { sessions, events } = view;
      return {
        ...view,
        sessions: {
          create: (...given) => sessions.create(...given),
          claim: (...given) => sessions.claim(...given),
          save: (...given) => late(() => sessions.save(...given)),
          end: (...given) =>
            new Promise((resolve) => setTimeout(resolve, 2 * LATE_MS)).then(() => sessions.end(...given)),
        },
        events: { append: (request) => late(() => events.append(request)) },
      };
    },
  };
};
