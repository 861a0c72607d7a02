/** The life of a session as steps 1 to `LAST_STEP`, and what is stored after each. The last step ends it. */

export const LAST_STEP = 41;
const TEXT = 'x'.repeat(2_000);

export const recordOf = (id, owner) => ({
  v: 1,
  id,
  epoch: 1,
  owner,
  user: 'ada',
  version: '2025-11-25',
  handshake: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: id.split('-')[0], version: '1' } },
  answer: '{}',
  initialized: true,
  logLevel: null,
  subscriptions: [],
  state: {},
  getStream: true,
  createdAt: 0,
  activeAt: 0,
  expiresAt: null,
});

export async function openOptions(dist) {
  const { systemRandom, systemTime } = await import(`${dist}/options/system.js`);
  const silent = { debug() {}, info() {}, warn() {}, error() {}, fatal() {} };
  return {
    name: 'mcp',
    time: systemTime,
    random: systemRandom,
    logger: silent,
    // No renewals: a killed writer is dead by the time the next one has started.
    leaseMs: 50,
    tombstoneMs: 3_600_000,
    retention: { ttlMs: 3_600_000, events: 10_000, bytes: 100_000_000 },
    eventLogBytes: 0,
    tombstones: 0,
  };
}

const isSave = (step) => step % 4 === 1;
const isMarked = (step) => step % 4 === 2;
const isUnmarked = (step) => step % 4 === 3;
const isCall = (step) => step % 4 === 0;
const upTo = (step, fits) => Array.from({ length: step }, (_, n) => n + 1).filter(fits);
const onGet = (step) => isMarked(step) || isUnmarked(step);

export function doStep(view, { id, step, fence }) {
  if (step === LAST_STEP) return view.sessions.end(id, fence, 'deleted');
  if (isSave(step)) return view.sessions.save(id, fence, { activeAt: step, state: { step: `${step}`, [step]: '1' } });
  const text = JSON.stringify({ step, text: TEXT });
  if (isCall(step)) {
    return view.events.append({
      sessionId: id,
      fence,
      stream: `p${step}`,
      from: 0,
      events: ['', text],
      complete: true,
    });
  }
  const append = { sessionId: id, fence, stream: 'g', from: upTo(step - 1, onGet).length, events: [text] };
  return view.events.append(
    isMarked(step)
      ? { ...append, requests: '[1]', mark: { request: `${step}`, stream: 'g' } }
      : { ...append, unmark: `${step - 1}` },
  );
}

/** What a session holds after a step, in the form of `stored` of the test. */
export function expectedAfter(step) {
  const saves = upTo(step, isSave);
  const state = Object.fromEntries(saves.map((save) => [`${save}`, '1']));
  const last = saves.at(-1);
  return {
    state: last === undefined ? {} : { ...state, step: `${last}` },
    activeAt: last ?? 0,
    get: upTo(step, onGet),
    calls: upTo(step, isCall),
    markers: isMarked(step) ? [`${step}`] : [],
  };
}
