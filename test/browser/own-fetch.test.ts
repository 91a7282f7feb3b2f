import t from 'tap'
import type { CloudFolderPickerElement } from '../../web/picker/element.ts'
import { openPicker } from './picker-page.ts'

t.test('the host’s own fetch sends each request and sees each response', async (t) => {
  const { page, row } = await openPicker(t)
  await row('Invoices').waitFor()
  await page.evaluate(async () => {
    const seen: string[] = []
    const picker = document.querySelector<CloudFolderPickerElement>('cloud-folder-picker')
    if (picker === null) throw new Error('there is no picker')
    picker.fetch = async (request) => {
      const answer = await fetch(request)
      seen.push(`${new URL(request.url).pathname} ${answer.status}`)
      return answer
    }
    Object.assign(window, { seen })
    await picker.refresh()
  })
  const seen = await page.evaluate(() => (window as unknown as { seen: string[] }).seen)
  t.same(seen, ['/cloud/s3/listing 200'])
})

t.test('a rejection of the host’s own fetch is a network failure', async (t) => {
  const { page, row } = await openPicker(t)
  await row('Invoices').waitFor()
  await page.evaluate(() => {
    const picker = document.querySelector<CloudFolderPickerElement>('cloud-folder-picker')
    if (picker !== null) picker.fetch = () => Promise.reject(new Error('no'))
  })
  await row('Invoices').dblclick()
  await page.getByRole('alert').getByText('The server cannot be reached.').waitFor()
})
