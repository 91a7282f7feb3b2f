import type { Entry, Listing } from '../../../src/core/entry.ts'
import type { ConnectionView, PickerApi } from '../../../web/picker/api.ts'
import { PickerProblem } from '../../../web/picker/problem.ts'
import type { TaskOptions } from '../../../web/picker/state/task.ts'
import { PickerClock } from './clock.ts'
import { connectionTo, entryOf, S3 } from './entries.ts'

/** The environment of the picker's parts, and the events that they emitted. */
export class PickerWorld {
  readonly clock = new PickerClock()
  readonly problems: PickerProblem[] = []
  changes = 0
  connected: ConnectionView[] = [connectionTo('s3')]
  /** The responses of the routes. A test replaces those that it needs. */
  readonly api: { -readonly [Name in keyof PickerApi]: PickerApi[Name] }

  constructor() {
    const rejectUnexpected = async (): Promise<never> => {
      throw new Error('unexpected request')
    }
    this.api = {
      providers: async () => [S3],
      connections: async () => this.connected,
      list: async () => listingOf([entryOf('a.pdf')]),
      listIfChanged: rejectUnexpected,
      watch: () => {
        throw new PickerProblem('HTTP_404', { status: 404 })
      },
      connect: rejectUnexpected,
      authorize: rejectUnexpected,
      beginLogin: rejectUnexpected,
      pollLogin: rejectUnexpected,
      verify: rejectUnexpected,
      createFolder: rejectUnexpected,
      upload: rejectUnexpected,
      downloadHref: () => null,
      download: rejectUnexpected
    }
  }

  options(autoRetry = true): TaskOptions {
    return {
      clock: this.clock,
      autoRetry,
      onChange: () => {
        this.changes++
      },
      onProblem: (problem) => {
        this.problems.push(problem)
      }
    }
  }
}

export function listingOf(
  entries: readonly Entry[],
  page: Partial<Listing['page']> = {},
  folder: Listing['folder'] = { id: null, name: null, parentId: null }
): Listing {
  const complete = page.next == null && page.reason == null
  return {
    provider: 's3',
    connectionId: 's3-1',
    folder,
    entries,
    page: { next: null, complete, reason: page.next == null ? null : 'more', order: 'provider', ...page }
  }
}
