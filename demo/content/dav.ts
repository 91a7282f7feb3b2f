import type { FakeTree } from '../../test/fakes/dav/tree.ts'
import { commonSamples } from './samples.ts'

export function fillDav(tree: FakeTree): void {
  for (const { path, file, modified } of commonSamples()) {
    if (file === null) tree.mkdir(path.join('/'))
    else tree.put(path.join('/'), file.content, { mimeType: file.mimeType, modified })
  }
}
