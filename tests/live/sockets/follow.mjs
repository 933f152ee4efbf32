// Follows channels over the given WebSocket class, and resumes each of them after every loss.

export async function follow(WebSocket, url, channels, print, token) {
  const cursors = {};
  for (;;) {
    const socket = new WebSocket(url, ["statushub", "bearer." + (await token())]);
    const code = await new Promise((closed) => {
      socket.onopen = () => {
        for (const channel of channels)
          socket.send(JSON.stringify({ type: "subscribe", channel_id: channel, since: cursors[channel] }));
      };
      socket.onmessage = (event) => {
        const said = JSON.parse(event.data);
        if (said.type === "ready") cursors[said.channel_id] = said.cursor;
        else if (said.type === "reset") delete cursors[said.channel_id];
        else if (said.data) cursors[said.data.channel_id] = said.id;
        print(event.data);
      };
      socket.onerror = () => {};
      socket.onclose = (event) => closed(event.code);
    });
    print(JSON.stringify({ type: "closed", code }));
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
