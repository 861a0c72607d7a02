import { createConnection } from '@playwright/mcp';

export default () => createConnection({ browser: { launchOptions: { headless: true } } });
