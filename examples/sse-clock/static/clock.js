// EventSource opens the stream, reads the events and reconnects by itself.

const byId = (id) => document.getElementById(id)
let source = null
let paused = false

function open() {
  source = new EventSource('/events')
  source.addEventListener('open', () => (byId('status').textContent = 'Live'))
  source.addEventListener('error', () => (byId('status').textContent = 'Reconnecting…'))
  source.addEventListener('tick', (event) => {
    const tick = JSON.parse(event.data)
    byId('clock').textContent = new Date(tick.time).toLocaleTimeString([], { hourCycle: 'h23' })
    byId('number').textContent = tick.number
  })
}

function close(why) {
  source?.close()
  source = null
  byId('status').textContent = why
}

byId('toggle').addEventListener('click', (event) => {
  paused = !paused
  event.target.textContent = paused ? 'Resume' : 'Pause'
  if (paused) close('Paused')
  else open()
})

// Nobody looks at a hidden tab: close the stream, so that the app may sleep.
document.addEventListener('visibilitychange', () => {
  if (document.hidden) close('Resting')
  else if (!paused && !source) open()
})

open()
