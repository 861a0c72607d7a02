export default { factory() {}, options: { idleTimeoutMs: -1 } };
