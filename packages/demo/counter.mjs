/** The module that each instance serves: `sojourn serve counter.mjs --store sqlite:…`. */
import { createCounter, endWithParent } from './counter-tool.mjs';

endWithParent();

export default ({ session, serverOptions }) => {
  if (session === undefined) return createCounter(undefined, serverOptions);
  const store = async (number) => {
    let stored = 0;
    await session.state.update('number', (before = 0) => Math.max((stored = before), number));
    return stored;
  };
  return createCounter(store, serverOptions);
};
