import { surviveSeeds } from './seeds.ts';

surviveSeeds(0, 500);
