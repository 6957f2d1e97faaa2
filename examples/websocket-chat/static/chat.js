// The browser's half of the chat: one WebSocket, a list of messages, two forms.

const byId = (id) => document.getElementById(id)
let socket = null

function say(text) {
  byId('status').textContent = text
}

function show(inRoom) {
  byId('join').hidden = inRoom
  byId('chat').hidden = !inRoom
}

function addMessage(message) {
  const words = { join: 'joined', leave: 'left', text: message.text }
  const name = document.createElement('b')
  const row = document.createElement('li')
  const time = document.createElement('time')
  // textContent, never innerHTML: what others type must stay text.
  name.textContent = message.name
  time.textContent = new Date(message.sent_at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
  row.className = message.type
  row.append(name, ' ', words[message.type], time)
  byId('messages').append(row)
  row.scrollIntoView({ block: 'nearest' })
  byId('people').textContent = `Here now: ${message.people.join(', ')}`
}

byId('join').addEventListener('submit', (event) => {
  event.preventDefault()
  const { name, room } = Object.fromEntries(new FormData(event.target))
  const url = new URL(`/ws/${room}`, location.href)
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
  url.searchParams.set('name', name.trim())

  say('Connecting…')
  socket = new WebSocket(url)
  socket.addEventListener('open', () => {
    byId('messages').replaceChildren()
    show(true)
    say(`You are in “${room}”.`)
    byId('send').elements.text.focus()
  })
  socket.addEventListener('message', (event) => addMessage(JSON.parse(event.data)))
  socket.addEventListener('close', (event) => {
    show(false)
    say(event.reason || (event.code === 1000 ? 'You left.' : 'The connection was lost. Join again?'))
  })
})

byId('send').addEventListener('submit', (event) => {
  event.preventDefault()
  socket.send(event.target.elements.text.value)
  event.target.reset()
})

byId('leave').addEventListener('click', () => socket.close(1000))
