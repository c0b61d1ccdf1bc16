"""The shop's orders, as a server of MCP, made with the official SDK. It runs in a sandbox of its own."""

import json
from pathlib import Path

from mcp.server.mcpserver import MCPServer

FOLDER = Path("/orders")
server = MCPServer("orders")


@server.tool()
def find(order: int) -> dict[str, str]:
    """Finds an order by its number: customer, article and state."""
    orders = json.loads((FOLDER / "orders.json").read_text())
    if str(order) not in orders:
        raise ValueError(f"there is no order {order}")
    return orders[str(order)]


@server.tool()
def refund(order: int) -> str:
    """Pays an order back."""
    with (FOLDER / "refunds").open("a") as refunds:
        refunds.write(f"{order}\n")
    return f"order {order} was paid back"


server.run("stdio")
