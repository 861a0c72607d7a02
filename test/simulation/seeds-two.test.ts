import { surviveSeeds } from './seeds.ts';

surviveSeeds(1_100, 1_100);
