import { type GoogleFaults, FAULT_DURATION_MS } from '../clouds/google-faults.ts'

export interface ControlsState {
  readonly grants: number
  readonly throttledForMs: number
  readonly slowForMs: number
  readonly serverUrl: string
}

interface Action {
  readonly label: string
  readonly hint: string
  readonly act: (faults: GoogleFaults) => void | Promise<void>
}

const FAULT_DURATION_S = FAULT_DURATION_MS / 1000

/** The actions of the buttons, by the path of their request. */
export const ACTIONS = {
  'take-access-away': {
    label: 'Remove the application’s access',
    hint: 'As users can on their account page. Then refresh a Google Drive folder: the picker asks to sign in again.',
    act: (faults) => faults.revokeAccess()
  },
  throttle: {
    label: `Throttle for ${FAULT_DURATION_S} seconds`,
    hint: `Every call returns 429 with Retry-After: ${FAULT_DURATION_S}. Then refresh a folder: the picker counts down.`,
    act: (faults) => {
      faults.throttle()
    }
  },
  'slow-down': {
    label: `Slow down for ${FAULT_DURATION_S} seconds`,
    hint: 'Each call takes some seconds. Then open a folder for the first time: the picker shows placeholders and Cancel.',
    act: (faults) => {
      faults.slowDown()
    }
  },
  'calm-down': {
    label: 'Back to normal',
    hint: 'Stops throttling and slowness.',
    act: (faults) => {
      faults.reset()
    }
  }
} satisfies Readonly<Record<string, Action>>

export function isAction(name: string): name is keyof typeof ACTIONS {
  return Object.hasOwn(ACTIONS, name)
}

export const STYLES = `:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 42rem; margin: 2rem auto; padding: 0 1rem }
form { margin: 1rem 0 }
button { font: inherit; padding: 0.4em 1em }
p { margin: 0.3rem 0 }
`

export function controlsPage({ grants, throttledForMs, slowForMs, serverUrl }: ControlsState): string {
  const state = [
    grants === 0 ? 'no application has access' : `access was granted ${grants === 1 ? 'once' : `${grants} times`}`,
    throttledForMs > 0 ? `throttling for ${seconds(throttledForMs)} more` : 'not throttling',
    slowForMs > 0 ? `slow for ${seconds(slowForMs)} more` : 'not slow'
  ]
  const forms = Object.entries<Action>(ACTIONS).map(
    ([name, { label, hint }]) => `<form method="post" action="/${name}"><button>${label}</button><p>${hint}</p></form>`
  )
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
<p role="status">Now: ${state.join(', ')}.</p>
${forms.join('\n')}
<p>The server is at ${serverUrl}; sign in with the link in the terminal.</p>
</main>
</body>
</html>
`
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1000)} s`
}
