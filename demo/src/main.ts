import { startLab } from './lab/lab.js';
import { startModelSection } from './model-section.js';
import { startQuantizeSection } from './quantize-section.js';
import { startRecipeSection } from './recipe-section.js';
import { startResultSection } from './result-section.js';
import { startRewriteSection } from './rewrite-section.js';
import { startRunSection } from './run-section.js';
import { startSamplesSection } from './samples-section.js';
import { startViews } from './views.js';

startViews();
startModelSection();
startRewriteSection();
startSamplesSection();
startRecipeSection();
startQuantizeSection();
startResultSection();
startRunSection();
startLab();
