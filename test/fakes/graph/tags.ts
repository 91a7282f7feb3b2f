import { GraphFailure, preconditionFailed } from './failure.ts'
import { isFolder, type FakeGraphNode, type GraphKind } from './node.ts'

/** Changes with each modification. */
export function eTagOf(node: FakeGraphNode, kind: GraphKind): string {
  return kind === 'business' ? `"{${node.guid}},${node.version}"` : `a${toBase64Url(`${node.id}.${node.version}`)}`
}

/** Changes with the content. Folders of business accounts have none. */
export function cTagOf(node: FakeGraphNode, kind: GraphKind): string | undefined {
  if (kind === 'personal') return `a${toBase64Url(`c:${node.id}.${node.revision}`)}`
  return isFolder(node) ? undefined : `"c:{${node.guid}},${node.revision}"`
}

/** Returns whether a condition matches the current state: either tag, compared exactly. */
export function matches(condition: string, node: FakeGraphNode | undefined, kind: GraphKind): boolean {
  if (node === undefined) return false
  const tags = [eTagOf(node, kind), cTagOf(node, kind)]
  return condition === '*' || tags.some((tag) => tag !== undefined && tag === condition)
}

export function checkIfMatch(condition: string | undefined, node: FakeGraphNode | undefined, kind: GraphKind): void {
  if (condition === undefined) return
  const isTag = kind === 'personal' || condition === '*' || condition.startsWith('"')
  if (!isTag) throw new GraphFailure({ code: 'malformedEntityTag' })
  if (!matches(condition, node, kind)) throw preconditionFailed(kind)
}

const toBase64Url = (text: string) => Buffer.from(text).toString('base64url')
