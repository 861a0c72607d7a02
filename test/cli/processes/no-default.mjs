export const createServer = () => {};
