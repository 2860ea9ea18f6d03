"""Tools of MCP servers: strangers' functions, behind the one dispatcher."""
