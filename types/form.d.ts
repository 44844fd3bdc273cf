// Shapes of the new-experiment page: what experiments/views_new.py and form_manifest.py send.
// Read by the type checker only.

interface ParameterType {
  name: string;
  arguments: string[];
  /** its value is a list of options */
  options: boolean;
  help: string;
}

interface Setting {
  name: string;
  type: string;
  default: string | number | boolean | null;
  help: string;
  limits: string;
  choices: string[];
  optional: boolean;
}

interface AlgorithmEntry {
  name: string;
  label: string;
  summary: string;
  available: boolean;
  types: string[];
  settings: Setting[];
}

interface Catalogue {
  types: ParameterType[];
  tuners: AlgorithmEntry[];
  assessors: AlgorithmEntry[];
  advisors: AlgorithmEntry[];
  frameworks: string[];
  replica_types: Record<string, string[]>;
  earlier: Earlier[];
  urls: { sync: string; import: string; create: string; template: string };
}

interface SpaceRow {
  name: string;
  type: string;
  /** of the type's arguments, as typed */
  values: string[];
  options: Json[];
  /** the value as JSON text where it is no plain one */
  json: string | null;
}

interface Chosen {
  name: string;
  /** null: they cannot be read */
  args: Record<string, string> | null;
}

interface Task {
  /** its place in the manifest, null for a new one */
  origin: number | null;
  container: number;
  type: string;
  replicas: string;
  image: string;
  command: string[] | string;
  args: string[] | string;
  workingDir: string;
  env: { name: string; value: string; reference: boolean }[];
  /** how many its container asks for */
  gpus: string;
}

/** An experiment that a new one may learn from. */
interface Earlier {
  id: string;
  name: string;
  trials: number;
  mode: string;
  parameters: string[];
  best: number | null;
}

/** How trials share this machine. */
interface LocalForm {
  python: string;
  trials_per_gpu: string;
  gpu_indices: string;
  preload: string;
  measured: boolean;
  use_active_gpu: boolean;
}

interface Form {
  name: string;
  max_trials: string;
  concurrency: string;
  alike: string;
  /** Configurations tried first, one a line, as JSON. */
  initial: string;
  local: LocalForm;
  warm_start: { experiments: string[]; trials: string };
  time: { amount: string; unit: string };
  trial_time: { amount: string; unit: string };
  metrics: { objective: string; pattern: string; file: string; tensorboard: string };
  optimize_mode: string;
  /** null: it cannot be read */
  space: SpaceRow[] | null;
  tuner: Chosen;
  assessor: Chosen;
  advisor: Chosen;
  training: { type: string; tasks: Task[] | null };
  /** programs elsewhere run the trials: there is nothing to train here */
  elsewhere: boolean;
  aistore: { folder: string; secret: string };
}

interface Forecast {
  n_distinct: number | null;
  max_trials: number | null;
  concurrency: number;
  peak: { pods: number; cpu: number; gpu: number; memory: number };
  samples: Record<string, Json>[];
  programs: { sentence: string }[];
}

interface Answer {
  yaml: string;
  /** null: the text cannot be read */
  form: Form | null;
  /** the form as the manifest means it */
  base: Form | null;
  problems: Problem[];
  warnings: Problem[];
  can_start: boolean;
  forecast: Forecast | null;
  previews: Record<string, string[]>;
}

/** What the parts of the form share. */
interface FormApp {
  catalogue: Catalogue;
  form: Form;
  /** the person edited the form */
  changed(): void;
  redrawSpace(): void;
  /** a part of the form was drawn anew: mark its problems again */
  redrawn(): void;
  /** go to where a problem is */
  jump(problem: Problem): void;
}
