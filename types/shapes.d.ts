// Shapes of what the server sends, as experiments/present.py and experiments/charts make them.
// Read by the type checker only; nothing here is served.

type Json = string | number | bigint | boolean | null | Json[] | { [key: string]: Json };
type ParameterValues = Record<string, Json>;
/** A number of a report; "NaN", "Infinity" and "-Infinity" come as text. */
type Reported = number | string | null;

type TrialState =
  | "WAITING"
  | "RUNNING"
  | "SUCCEEDED"
  | "FAILED"
  | "EARLY_STOPPED"
  | "CANCELED"
  | "LOST";
type Phase = "PENDING" | "RUNNING" | "DONE" | "TIMEOUT" | "ERROR";

interface Trial {
  number: number;
  id: string;
  state: TrialState;
  stopping: boolean;
  origin: string;
  reason: string;
  parameters: ParameterValues;
  value: number | null;
  metrics: Record<string, Json>;
  latest_value: number | null;
  latest_sequence: number | null;
  n_reports: number;
  has_final: boolean;
  /** 0 to 1, where its script tells */
  progress: number | null;
  expected_end: string | null;
  excluded: boolean;
  notes: string;
  retriable: boolean;
  attempt: number;
  exit_code: number | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  seq: number;
}

/** What a trial logged to MLflow. */
interface Logged {
  metrics: string[];
  params: Record<string, string>;
  tags: Record<string, string>;
  runs: { name: string; status: string }[];
  files: number;
}

interface Metric {
  trial: number;
  kind: "PERIODICAL" | "FINAL";
  sequence: number;
  step: number | null;
  name: string;
  value: Reported;
  time: string;
  seq: number;
}

interface Artifact {
  id: number;
  name: string;
  /** bytes */
  size: number;
  sha256: string;
  /** content type of a raster image */
  image_type: string | null;
  created_at: string;
}

interface HappenedEvent {
  seq: number;
  trial: number | null;
  what: string;
  from: string;
  to: string;
  reason: string;
  data: Record<string, Json> | null;
  time: string;
}

interface Where {
  parameter: string;
  low: number | null;
  high: number | null;
  values: Json[];
  failed: number;
  of: number;
  elsewhere_failed: number;
  elsewhere_of: number;
}

interface FailureGroup {
  exit_code: number | null;
  reason: string;
  count: number;
  trials: number[];
  where: Where[];
}

interface FailuresAnswer {
  failed: number;
  groups: FailureGroup[];
  where: Where[];
}

interface Holder {
  experiment: string;
  name: string | null;
  trial: number;
}

interface Device {
  index: number | null;
  uuid: string;
  name: string;
  memory_total: number | null;
  memory_used: number | null;
  load: number | null;
  other_processes: number;
  gone: boolean;
  trials: (Holder & { memory_used: number | null })[];
}

interface DevicesAnswer {
  here: boolean;
  problem: string;
  gpus: Device[];
  cpu: { total: number; taken: number } | null;
  memory: { total: number; taken: number } | null;
  waiting: (Holder & { gpus: number; since: number })[];
}

interface Pace {
  left: { low_s: number; high_s: number; ends_by: "trials" | "time" } | null;
  trial_seconds: number;
  gpus_per_trial: number;
  gpu_seconds: number | null;
  stopped_early: number;
  saved_seconds: number | null;
  saved_reports: number | null;
  /** trials that the assessor would have stopped, and about which of them it was wrong */
  let_finish: { trials: number[]; ended: number; wrong: number[] } | null;
}

interface Contender {
  trial: number;
  value: number;
  /** trials that ran the same parameters later, with a result */
  again: number[];
  n_failed: number;
  mean: number | null;
  low: number | null;
  high: number | null;
  chance: number | null;
}

interface Winner {
  verdict:
    | "nothing"
    | "not_repeated"
    | "too_few"
    | "identical"
    | "alone"
    | "confirmed"
    | "likely"
    | "open"
    | "lucky";
  contenders: Contender[];
  likeliest: number | null;
  noise: number | null;
  gap: number | null;
  n_different: number;
  outlook: {
    n_more: number;
    as_many_again: boolean;
    chance: number;
    gain: number;
    gained: number;
    since: number;
  } | null;
  seconds_each: number | null;
}

interface Upload {
  state: "off" | "waiting" | "retrying" | "failed" | "done";
  folder: string;
  secret: string;
  runs: number;
  uploaded: number;
  failed: number;
  error: string;
  next_try_at: string | null;
  url: string | null;
}

interface Best extends Trial {
  value: number;
}

interface Blocked {
  reason: string;
  why: string;
  advice: string;
  words: string;
  trial: number | null;
  n_trials: number;
  since: string | null;
}

interface Experiment {
  id: string;
  name: string;
  notes: string;
  tags: string[];
  phase: Phase;
  message: string;
  breaker: { trials: number[]; reason: string; log: string } | null;
  blocked: Blocked | null;
  suspended: boolean;
  finishing: boolean;
  max_trials: number | null; // null: no such limit
  concurrency: number;
  max_exec_seconds: number | null;
  optimize_mode: string;
  counts: Partial<Record<TrialState, number>>;
  n_trials: number;
  n_finished: number;
  n_to_retry: number;
  best: Best | null;
  active_seconds: number;
  clock_running: boolean;
  aistore: Upload | null;
  cluster_object: { namespace: string; name: string; trouble: string } | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  seq: number;
}

/** One message of the socket, or a part of one made from a REST answer. */
interface News {
  seq?: number;
  experiment?: Experiment;
  trials?: Trial[];
  metrics?: Metric[];
  events?: HappenedEvent[];
}

interface Page<T> {
  count: number;
  results: T[];
  /** of a list of trials: the page that it is */
  page?: number;
}

interface SavedView {
  id: number;
  name: string;
  query: string;
  author: string | null;
  changed_at: string;
}

/** A figure that somebody keeps with the experiment, without what it draws. */
interface OwnFigure {
  name: string;
  title: string;
  size: number;
  n_traces: number;
  n_points: number;
  author: string | null;
  changed_at: string;
}

interface Problem {
  path: string;
  message: string;
  hint?: string;
  line?: number | null;
  field?: string | null;
}

/** One node of a search space. */
interface SpaceNode {
  _type: string;
  _value: Json;
}

// ---- figures

type Place = number | string;
type Ends = [number, number];

interface Trace {
  type: string;
  uid: string;
  name?: string;
  xaxis?: string;
  yaxis?: string;
  visible?: boolean | string;
  hoverinfo?: string;
  x: Place[];
  y: (number | null)[];
  customdata?: number[];
  /** curves: of the trial that the line belongs to; history: of the running trials' points */
  meta?: {
    trial?: number;
    /** sequence of the newest report in it; of each point's in the history */
    last?: number | (number | null)[];
    /** when the first report came, in seconds since 1970 */
    start?: number;
    /** points that the line may have before it is thinned anew */
    most?: number;
    /** of a smoothed line: how it goes on */
    smooth?: SmoothState;
    /** of a trace whose colours follow the page's theme */
    colorscale_dark?: ColourScale;
    colorscale_light?: ColourScale;
  };
  marker?: Record<string, unknown>;
  [key: string]: unknown;
}

/** A moving mean so far: `experiments/charts/smooth.py`. */
interface SmoothState {
  weight: number;
  total: number;
  share: number;
  last: number;
}

interface Axis {
  range?: Ends;
  type?: string;
  title?: { text: string };
  [key: string]: unknown;
}

/** How the page may add a report to the drawn figure; what it may not is drawn anew. */
interface LiveRule {
  how: "append" | "move";
  metric: string;
  /** append: the first of these that the report has is its place on the x axis */
  x?: ("step" | "sequence" | "time")[];
  /** how far off a value may be to widen the y axis, as a share of its length; null: any */
  room: number | null;
}

interface FigureMeta {
  kind: string;
  seq: number;
  empty?: string;
  x?: string;
  metric?: string;
  metrics?: string[];
  log_possible?: boolean;
  clipped?: number;
  /** curves that the server had no time to read: ask again */
  n_unread?: number;
  /** of parallel coordinates: trials, and how many of them got a line */
  n_trials?: number;
  n_drawn?: number;
  /** of parallel coordinates: every parameter and how much it tells; those shown */
  axes?: [string, number][];
  shown?: string[];
  /** of parallel coordinates: by the axis's name, log, linear, only (linear) or choice */
  scales?: Record<string, string>;
  flipped?: string[];
  /** of the trade-off: what its colour says, where that is not the rank of the value */
  color?: string;
  /** what lists offer, by the option's name: values and their words */
  choices?: Record<string, [value: string, words: string][]>;
  /** method, numbers and what was left out, in words */
  note?: string;
  /** a figure with a template of its own: no colours of the page */
  own_look?: boolean;
  /** pixels that the chart asks for */
  height?: number;
  /** what the axes mean to conditions; see charts/brush.js */
  selects?: Record<string, import("../static/js/charts/brush.js").AxisMeaning>;
  /** only some of the trials are in it, those that were asked for */
  selected?: boolean;
  live?: LiveRule;
  redrawn_at?: [string, string][];
}

interface Layout {
  meta: FigureMeta;
  uirevision?: string;
  margin?: Record<string, number>;
  legend?: Record<string, unknown>;
  font?: Record<string, unknown>;
  xaxis?: Axis;
  yaxis?: Axis;
  [key: string]: unknown;
}

interface Figure {
  data: Trace[];
  layout: Layout;
  /** the same for a phone, where that is drawn otherwise */
  narrow?: Figure;
}

interface ParallelTrace {
  type: "parcoords";
  customdata: number[];
  meta: { colorscale_dark: ColourScale; colorscale_light: ColourScale };
  line: { color: number[]; cmin: number; cmax: number };
  dimensions: {
    label: string;
    name: string;
    values: number[];
    range: Ends;
    tickvals: number[];
    ticktext: string[];
  }[];
}
type ColourScale = [number, string][];

interface Theme {
  dark: boolean;
  font: string;
  text: string;
  muted: string;
  grid: string;
  strong: string;
  surface: string;
  accent: string;
}

// ---- what other scripts put into the page

type DrawingStep = () => Promise<unknown> | undefined;

interface PlotElement extends HTMLElement {
  layout: Layout;
  data: Trace[];
  /** asked what to do in place of the steps of a drawing; one that gives a promise is waited for */
  inPieces?: (steps: DrawingStep[]) => DrawingStep[];
  on(event: string, listener: (event: any) => void): void;
}

interface Window {
  Plotly: {
    react(element: HTMLElement, data: Trace[], layout: object, config: object): Promise<unknown>;
    purge(element: HTMLElement): void;
    relayout(element: HTMLElement, changes: object): Promise<unknown>;
    toImage(figure: object, options: object): Promise<string>;
    Fx: { hover(element: HTMLElement, points: object[], subplot?: string): void };
    Plots: { resize(element: HTMLElement): Promise<unknown> };
  };
  /** what makes it, in parts; the last one returns it (autotune_web/plotly_parts.py) */
  PlotlyParts?: (() => Window["Plotly"])[];
  autotuneTheme: { set(chosen: string): void };
  htmx?: { process(element: Element): void };
}
