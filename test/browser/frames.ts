import type { Page } from 'playwright-core'

interface TraceEvent {
  readonly name: string
  readonly pid: number
  readonly tid: number
  readonly ts: number
  /** CPU time of the thread in microseconds, which other processes do not affect. */
  readonly tts?: number
  readonly tdur?: number
  readonly args?: { readonly data?: { readonly url?: string } }
}

/** DevTools' "scripting" category. */
const SCRIPTING = new Set([
  'EvaluateScript',
  'EventDispatch',
  'FireAnimationFrame',
  'FunctionCall',
  'RunMicrotasks',
  'TimerFire',
  'V8.GCScavenger',
  'V8.GCIncrementalMarking',
  'MinorGC',
  'MajorGC'
])
const FRAME = 'BeginMainThreadFrame'
const CATEGORIES = ['devtools.timeline', 'v8', 'disabled-by-default-devtools.timeline.frame']

const SCRIPT = 'cloud-folder-picker.js'

export interface ScriptingTimes {
  readonly frames: number
  readonly longestMs: number
}

/** Returns how long scripts ran in each frame of the page during `act`, from the browser's trace. */
export async function measureScripting(page: Page, action: () => Promise<void>): Promise<ScriptingTimes> {
  const browser = page.context().browser()
  if (browser === null) throw new Error('there is no browser')
  await browser.startTracing(page, { categories: CATEGORIES })
  await action()
  const trace = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] }
  const events = trace.traceEvents
  // The browser has pages of its own.
  const pickerEvent = events.find(
    ({ name, args }) => name === 'FunctionCall' && args?.data?.url?.includes(SCRIPT) === true
  )
  if (pickerEvent === undefined) throw new Error('the trace has no scripts of the picker')
  const mainThreadEvents = events.filter(({ pid, tid }) => pid === pickerEvent.pid && tid === pickerEvent.tid)
  const spans = mainThreadEvents
    .filter(({ name, tdur }) => SCRIPTING.has(name) && tdur !== undefined)
    .map(({ tts = 0, tdur = 0 }) => ({ from: tts, to: tts + tdur }))
    .sort((a, b) => a.from - b.from)
  const starts = mainThreadEvents
    .flatMap(({ name, tts }) => (name === FRAME && tts !== undefined ? [tts] : []))
    .sort((a, b) => a - b)
  const perFrame = new Map<number, number>()
  let frame = 0
  let coveredUntilUs = 0
  for (const { from: startUs, to: endUs } of spans) {
    // A script called by another one is counted with it.
    if (endUs <= coveredUntilUs) continue
    while (frame < starts.length && (starts[frame] ?? 0) <= startUs) frame++
    perFrame.set(frame, (perFrame.get(frame) ?? 0) + (endUs - Math.max(startUs, coveredUntilUs)))
    coveredUntilUs = endUs
  }
  return { frames: starts.length, longestMs: Math.max(...perFrame.values()) / 1000 }
}
