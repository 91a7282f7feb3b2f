import { bodyLength } from '../picker/body-length.ts'
import { downloadName } from '../picker/files.ts'
import type { OnProgress } from '../picker/picker-api.ts'

/** A file on the user's disk, before anything is in it. */
export interface ChosenFile {
  createWritable(): Promise<WritableStream<Uint8Array<ArrayBuffer>>>
}

type ChooseFile = (options: { suggestedName: string }) => Promise<ChosenFile>

/** What is larger goes to the disk as it comes, where the browser can: until it is whole, the rest is in memory. */
const TO_DISK_FROM_BYTES = 64 * 1024 * 1024

/**
 * Asks where a large download goes, within the click that asked for it. A token is no cookie: a plain link would come
 * without it.
 *
 * @returns `memory` for what is small, or where the browser lets no page write; `null` where the user wants none of it
 */
export async function chooseFile(name: string, size: number | null): Promise<ChosenFile | 'memory' | null> {
  const { showSaveFilePicker: choose } = globalThis as { showSaveFilePicker?: ChooseFile }
  if (choose === undefined || (size !== null && size < TO_DISK_FROM_BYTES)) return 'memory'
  try {
    return await choose({ suggestedName: downloadName(null, name) })
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return null
    // Some names are not taken, and some browsers say no for reasons of their own.
    return 'memory'
  }
}

/** Takes a body to where it goes; one that breaks off leaves no file. */
export async function writeTo(
  file: ChosenFile | 'memory',
  response: Response,
  onProgress: OnProgress,
  signal: AbortSignal
): Promise<Blob | null> {
  const body = (response.body ?? new Blob([]).stream()).pipeThrough(counting(bodyLength(response), onProgress))
  const type = response.headers.get('content-type')
  // Without a type, browsers guess one and may change the extension of the name.
  if (file === 'memory')
    return await new Response(body, { headers: type === null ? {} : { 'content-type': type } }).blob()
  await body.pipeTo(await file.createWritable(), { signal })
  return null
}

function counting(total: number | null, onProgress: OnProgress): TransformStream<Uint8Array, Uint8Array<ArrayBuffer>> {
  let done = 0
  return new TransformStream({
    transform(chunk: Uint8Array<ArrayBuffer>, controller) {
      done += chunk.byteLength
      onProgress(done, total)
      controller.enqueue(chunk)
    }
  })
}
