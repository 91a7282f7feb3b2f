import type { DemoGoogle } from '../clouds/google.ts'
import { CHANGE_LAG_MS, FAULT_DURATION_MS, LATE_CHANGE_LAG_MS } from '../clouds/google-faults.ts'
import { CHECK_AFTER_MS } from '../settings.ts'

export interface ControlsState {
  readonly grants: number
  readonly throttledForMs: number
  readonly slowForMs: number
  readonly changeLagMs: number
  /** The number of changes that the colleague has made. */
  readonly changeCount: number
  /** The names of the colleague's files, the oldest first. */
  readonly fileNames: readonly string[]
  readonly serverUrl: string
}

interface Action {
  readonly label: string
  readonly hint: string
  /** Whether it needs a file of the colleague. */
  readonly needsFile?: boolean
  readonly act: (google: Pick<DemoGoogle, 'colleague' | 'faults'>) => void | Promise<void>
}

const FAULT_DURATION_S = FAULT_DURATION_MS / 1000
/** Google's lag, the longest time between two checks of an open folder, and a second for the check and the listing. */
const VISIBLE_AFTER_S = (CHANGE_LAG_MS + 2 * CHECK_AFTER_MS) / 1000 + 1

const CHANGES = {
  'add-file': {
    label: 'Add a file',
    hint: `It appears in My Drive within about ${VISIBLE_AFTER_S} seconds, without a reload.`,
    act: ({ colleague }) => {
      colleague.addFile()
    }
  },
  'rename-file': {
    label: 'Rename the latest file',
    hint: 'The name changes in the open folder. Selection and scroll position stay.',
    needsFile: true,
    act: ({ colleague }) => {
      colleague.renameFile()
    }
  },
  'remove-file': {
    label: 'Remove the latest file',
    hint: 'It disappears from the open folder.',
    needsFile: true,
    act: ({ colleague }) => {
      colleague.removeFile()
    }
  }
} satisfies Readonly<Record<string, Action>>

const FAULTS = {
  'take-access-away': {
    label: 'Remove the application’s access',
    hint: 'As users can on their account page. Then refresh a Google Drive folder: the picker asks to sign in again.',
    act: ({ faults }) => faults.revokeAccess()
  },
  throttle: {
    label: `Throttle for ${FAULT_DURATION_S} seconds`,
    hint: `Every call returns 429 with Retry-After: ${FAULT_DURATION_S}. Then refresh a folder: the picker counts down.`,
    act: ({ faults }) => {
      faults.throttle()
    }
  },
  'slow-down': {
    label: `Slow down for ${FAULT_DURATION_S} seconds`,
    hint: 'Each call takes some seconds. Then open a folder for the first time: the picker shows placeholders and Cancel.',
    act: ({ faults }) => {
      faults.slowDown()
    }
  },
  'report-late': {
    label: 'Report changes late',
    hint: `Google’s log shows changes after ${LATE_CHANGE_LAG_MS / 1000} seconds. Then add a file: it appears later.`,
    act: ({ faults }) => {
      faults.reportChangesLate()
    }
  },
  'calm-down': {
    label: 'Back to normal',
    hint: 'Stops throttling, slowness and late reports.',
    act: ({ faults }) => {
      faults.reset()
    }
  }
} satisfies Readonly<Record<string, Action>>

/** The actions of the buttons, by the path of their request. */
export const ACTIONS = { ...CHANGES, ...FAULTS }

export function isAction(name: string): name is keyof typeof ACTIONS {
  return Object.hasOwn(ACTIONS, name)
}

export const STYLES = `:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 42rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin: 2rem 0 0.5rem; font-size: 1.25rem }
form { margin: 1rem 0 }
button { font: inherit; padding: 0.4em 1em }
p { margin: 0.3rem 0 }
`

export function controlsPage(state: ControlsState): string {
  const { changeCount, fileNames, serverUrl } = state
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>The emulated Google</title>
<link rel="stylesheet" href="/styles.css">
</head>
<body>
<main>
<h1>The emulated Google</h1>
<p role="status">Now: ${describe(state).join(', ')}.</p>
<section aria-labelledby="change">
<h2 id="change">Change the cloud</h2>
<p>Open Google Drive in the picker beside this page, and stay in its top folder (My Drive). These buttons change files
there as a colleague would. The server learns of it only through Google’s log of changes. While a folder is open, it
checks the log every few seconds here, and every 10 to 30 seconds by default. This log shows a change after
${seconds(CHANGE_LAG_MS)}; Google’s own needs seconds to minutes.</p>
<p>${describeChanges(changeCount, fileNames)}</p>
${forms(CHANGES, fileNames.length > 0)}
</section>
<section aria-labelledby="fail">
<h2 id="fail">Make Google fail</h2>
${forms(FAULTS)}
</section>
<p>The server is at ${serverUrl}; sign in with the link in the terminal.</p>
</main>
</body>
</html>
`
}

function describe({ grants, throttledForMs, slowForMs, changeLagMs }: ControlsState): string[] {
  return [
    grants === 0 ? 'no application has access' : `access was granted ${grants === 1 ? 'once' : `${grants} times`}`,
    throttledForMs > 0 ? `throttling for ${seconds(throttledForMs)} more` : 'not throttling',
    slowForMs > 0 ? `slow for ${seconds(slowForMs)} more` : 'not slow',
    ...(changeLagMs > CHANGE_LAG_MS ? [`changes are reported after ${seconds(changeLagMs)}`] : [])
  ]
}

function describeChanges(changeCount: number, fileNames: readonly string[]): string {
  const changes = changeCount === 1 ? '1 change' : `${changeCount || 'No'} changes`
  const latest = fileNames.at(-1)
  const files = fileNames.length === 1 ? '1 file' : `${fileNames.length} files`
  return `${changes} so far${latest === undefined ? '' : `, ${files}; the latest is “${latest}”`}.`
}

function forms(actions: Readonly<Record<string, Action>>, hasFile = false): string {
  return Object.entries(actions)
    .map(([name, { label, hint, needsFile = false }]) => {
      const disabled = needsFile && !hasFile ? ' disabled' : ''
      return `<form method="post" action="/${name}"><button${disabled}>${label}</button><p>${hint}</p></form>`
    })
    .join('\n')
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1000)} s`
}
