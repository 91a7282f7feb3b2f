import type { AddressInfo } from 'node:net'
import t from 'tap'
import { chromium } from 'playwright-core'
import { serverApp } from '../support/app/server-app.ts'

t.test('/docs shows every operation, under its content security policy, and contacts no other host', async (t) => {
  const { app } = await serverApp(t)
  await app.listen({ host: '127.0.0.1', port: 0 })
  const origin = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  const browser = await chromium.launch({
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    args: ['--no-sandbox']
  })
  t.teardown(() => browser.close())
  const page = await browser.newPage()
  const complaints: string[] = []
  const elsewhere: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('request', (request) => {
    const url = request.url()
    if (!url.startsWith(origin) && !url.startsWith('data:')) elsewhere.push(url)
  })
  await page.goto(`${origin}/docs`)
  await page.getByText('/cloud/{provider}/listing').first().waitFor()
  await page.getByText('List a folder').first().click()
  await page.getByText('CURSOR_EXPIRED').first().waitFor()
  t.ok((await page.locator('.opblock').count()) > 25)
  t.same(complaints, [])
  t.same(elsewhere, [])
})
