import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Payload } from '@nestjs/microservices';
import { McpController, McpStrategy, Tool } from '@rekog/mcp-nest';
import { z } from 'zod';

class Numbers {
  add({ a, b }) {
    return { content: [{ type: 'text', text: String(a + b) }] };
  }
}
const descriptor = Object.getOwnPropertyDescriptor(Numbers.prototype, 'add');
Tool({ name: 'add', description: 'adds', parameters: z.object({ a: z.number(), b: z.number() }) })(
  Numbers.prototype,
  'add',
  descriptor,
);
Payload()(Numbers.prototype, 'add', 0);
McpController()(Numbers);
class AppModule {}
Module({ controllers: [Numbers] })(AppModule);

// In place of StreamableHttpTransport:
let nest;
const transport = {
  kind: 'streamable-http',
  start: (context) => void (nest = context),
  close: () => {},
};
const strategy = new McpStrategy({ name: 'nest', version: '1.0.0', transports: [transport] });
const app = await NestFactory.createMicroservice(AppModule, { strategy, logger: ['error'] });
await app.listen();
export default () => nest.createBoundServer({});
