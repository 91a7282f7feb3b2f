import { GraphFailure } from './fake-graph-failure.ts'
import { isFolder, type FakeGraphNode, type GraphKind } from './fake-graph-node.ts'

/** Changes with everything. */
export function eTagOf(node: FakeGraphNode, kind: GraphKind): string {
  return kind === 'business' ? `"{${node.guid}},${node.version}"` : `a${encoded(`${node.id}.${node.version}`)}`
}

/** Changes with the content. Folders of business accounts have none. */
export function cTagOf(node: FakeGraphNode, kind: GraphKind): string | undefined {
  if (kind === 'personal') return `a${encoded(`c:${node.id}.${node.revision}`)}`
  return isFolder(node) ? undefined : `"c:{${node.guid}},${node.revision}"`
}

/** Whether a condition means what is there now: either tag is taken, in quotes or as it was given. */
export function matches(condition: string, node: FakeGraphNode | undefined, kind: GraphKind): boolean {
  if (node === undefined) return false
  const tags = [eTagOf(node, kind), cTagOf(node, kind)]
  return condition === '*' || tags.some((tag) => tag !== undefined && unquoted(tag) === unquoted(condition))
}

export function checkIfMatch(condition: string | undefined, node: FakeGraphNode | undefined, kind: GraphKind): void {
  if (condition !== undefined && !matches(condition, node, kind)) throw new GraphFailure({ code: 'resourceModified' })
}

const unquoted = (tag: string) => tag.replace(/^"(.*)"$/, '$1')

const encoded = (text: string) => Buffer.from(text).toString('base64url')
