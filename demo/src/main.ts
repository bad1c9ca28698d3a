import { startModelSection } from './model-section.js';
import { startQuantizeSection } from './quantize-section.js';
import { startRecipeSection } from './recipe-section.js';
import { startResultSection } from './result-section.js';
import { startRunSection } from './run-section.js';
import { startSamplesSection } from './samples-section.js';

startModelSection();
startSamplesSection();
startRecipeSection();
startQuantizeSection();
startResultSection();
startRunSection();
