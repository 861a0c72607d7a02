import { surviveSeeds } from './seeds.ts';

surviveSeeds(500, 500);
