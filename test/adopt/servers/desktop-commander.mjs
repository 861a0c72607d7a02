export { server as default } from '@wonderwhy-er/desktop-commander/dist/server.js';
