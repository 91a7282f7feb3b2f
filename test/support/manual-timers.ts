import { mock } from 'node:test'
import type { Test } from 'tap'

/** Makes timers wait for the returned function, which lets so many milliseconds pass, until the end of the test. */
export function useManualTimers(
  t: Test,
  apis: ('setTimeout' | 'setInterval')[] = ['setTimeout']
): (ms: number) => void {
  mock.timers.enable({ apis })
  t.teardown(() => {
    mock.timers.reset()
  })
  return (ms) => {
    mock.timers.tick(ms)
  }
}
