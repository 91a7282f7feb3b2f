import { render } from 'lit'
import { systemClock } from '../picker/clock.ts'
import { DropZone, saveBlob } from '../picker/files.ts'
import { formatFor, localeOf, translator } from '../picker/strings.ts'
import { PageCore } from './state.ts'
import { pageView } from './page-view.ts'
import { Session } from './session.ts'

const TICK_MS = 1000

const root = document.querySelector<HTMLElement>('#page')
const files = document.querySelector<HTMLInputElement>('#files')
if (root !== null && files !== null) start(root, files)

function start(root: HTMLElement, files: HTMLInputElement): void {
  // The server sets this in its HTML, so a link cannot set it.
  const isDemo = document.documentElement.dataset['mode'] === 'demo'
  const session = new Session({ storage: sessionStorage, location, history }, isDemo)
  const core = new PageCore({ session, clock: systemClock, onChange: schedule, save: saveBlob })
  const dropZone = new DropZone(schedule, (dropped) => {
    core.upload(dropped)
  })
  const locale = localeOf(root)
  const [format, t] = [formatFor(locale), translator({}, locale)]
  let isScheduled = false
  let wasSignedIn: boolean | null = null

  function schedule(): void {
    if (isScheduled) return
    isScheduled = true
    queueMicrotask(() => {
      isScheduled = false
      draw()
    })
  }

  function draw(): void {
    const chooseFiles = (): void => {
      files.click()
    }
    render(pageView({ core, format, t, isDropping: dropZone.isOver, chooseFiles, dropZone }), root)
    syncDialog()
    moveFocus()
  }

  function syncDialog(): void {
    const dialog = root.querySelector('dialog')
    if (dialog === null || dialog.open === (core.pendingRemoval !== null)) return
    if (core.pendingRemoval !== null) dialog.showModal()
    else dialog.close()
  }

  /**
   * Restores the focus where drawing has removed its element. An element that is not rendered counts as removed too: after
   * a dialog has closed, browsers take the focus from it only with the next frame, after which nothing may be drawn.
   */
  function moveFocus(): void {
    const isSignedIn = session.token !== null
    if (wasSignedIn !== null && wasSignedIn !== isSignedIn) {
      root.querySelector<HTMLElement>(isSignedIn ? '#clouds' : '#token')?.focus()
    } else if (isFocusLost() && core.announcement.endsWith(' was removed.')) {
      root.querySelector<HTMLElement>('#documents')?.focus()
    }
    wasSignedIn = isSignedIn
  }

  function isFocusLost(): boolean {
    const { activeElement } = document
    return activeElement === null || activeElement === document.body || !activeElement.checkVisibility()
  }

  files.addEventListener('change', () => {
    core.upload([...(files.files ?? [])])
    // Reset, so that choosing the same file again fires an event.
    files.value = ''
  })
  // Pasting a link with a token into the address bar of the open page does not reload it.
  addEventListener('hashchange', () => {
    if (session.signInFromFragment()) void core.start()
  })
  setInterval(() => {
    if (session.token !== null && core.cacheMonitor.ageMs !== null) schedule()
  }, TICK_MS)
  void core.start()
  draw()
}
