import type { Page } from 'playwright-core'

/** Returns the number of all nodes of the page: elements, texts and comments, including shadow trees. */
export async function countNodes(page: Page): Promise<number> {
  return await page.evaluate(() => {
    const count = (root: Node): number => {
      let nodes = 0
      const walker = document.createTreeWalker(root)
      do {
        nodes++
        const { currentNode } = walker
        if (currentNode instanceof Element && currentNode.shadowRoot !== null) nodes += count(currentNode.shadowRoot)
      } while (walker.nextNode() !== null)
      return nodes
    }
    return count(document)
  })
}
